"""What is said of GPUs that cannot be used."""

from sklearn_cntk._selftest import machine as _machine


def test_unusable_gpu_has_a_reason(monkeypatch):
    assert _machine.gpus()[0] or _machine.gpus()[1]

    def fail(index):
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(_machine, "find_spec", lambda name: object())
    monkeypatch.setattr(_machine.devices, "open_devices", fail)
    assert _machine.gpus() == ([], "the driver is too old")
