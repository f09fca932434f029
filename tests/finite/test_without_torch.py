"""What the import says where PyTorch is missing."""

import subprocess
import sys


def test_without_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('torch')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import sklearn_cntk.finite"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'needs PyTorch, which is not installed: pip install "sklearn-cntk[finite]"' in (
        result.stderr
    )
