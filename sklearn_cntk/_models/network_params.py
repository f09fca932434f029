"""Nested parameters of the parameter `network`: ``set_params(network__bias_variance=0.1)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._support.network import Network

if TYPE_CHECKING:
    from typing import Any, Self


class SettableNetwork:
    """Mixin for kernels and estimators with a `network`, to precede scikit-learn's base class."""

    if TYPE_CHECKING:
        network: str | Network

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including those of `network`, such as ``network__bias_variance``.

        A :class:`~sklearn_cntk.networks.Network` is immutable: a changed copy replaces it.

        Parameters
        ----------
        **params
            Names and values.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Unknown parameters.
        """
        prefix = "network__"
        inner = {
            name.removeprefix(prefix): params.pop(name)
            for name in list(params)
            if name.startswith(prefix)
        }
        super().set_params(**params)  # type: ignore[misc]
        if inner:
            if not isinstance(self.network, Network):
                raise ValueError(
                    f"{prefix}{next(iter(inner))} is a parameter of a Network, but "
                    f"network={self.network!r} is not one: use network=Network.plain(depth)."
                )
            self.network = self.network.with_params(**inner)
        return self
