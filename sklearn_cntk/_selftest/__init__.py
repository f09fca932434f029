"""``python -m sklearn_cntk``: versions, devices, engines checked against references, speed."""
