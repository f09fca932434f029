"""What is said of GPUs that cannot be used."""

from sklearn_cntk._selftest import machine


def test_unusable_gpu_has_a_reason(monkeypatch):
    assert machine.gpus()[0] or machine.gpus()[1]

    def fail(index):
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    monkeypatch.setattr(machine.devices, "open_devices", fail)
    assert machine.gpus() == ([], "the driver is too old")
