"""``python -m sklearn_cntk``: versions, devices, engines against reference values, speed."""
