"""`links`: bandwidth, latency, energy and price of one-way links; human units in keys, SI in properties."""

from typing import Self

from pydantic import Field, model_validator

from planner.scenario.field_types import DeviceName, NotNegative, Part, Rate

_GIBI = 2**30
# A network's megabit is 10^6 bit, whatever a mebibyte of memory is.
_MEGABIT_BYTES = 1e6 / 8


class RadioSpec(Part):
    """Linear radio model: an end draws a mW per Mbit/s times the bandwidth plus a constant, while it sends.

    The form of Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE
    Networks", MobiSys 2012.
    """

    send_mw_per_mbit_per_s: NotNegative = Field(0.0, description="Milliwatts per Mbit/s of the sender.")
    send_mw: NotNegative = Field(0.0, description="Milliwatts of the sender, constant.")
    receive_mw_per_mbit_per_s: NotNegative = Field(0.0, description="Milliwatts per Mbit/s of the receiver.")
    receive_mw: NotNegative = Field(0.0, description="Milliwatts of the receiver, constant.")


class LinkSpec(Part):
    """A one-way link; a way back is a second link. `from` pays for sending, `to` for receiving."""

    source: DeviceName = Field(alias="from", description="Device that sends.")
    target: DeviceName = Field(alias="to", description="Device that receives.")
    bandwidth_mbit_per_s: Rate = Field(description="10^6 bit per second.")
    latency_ms: NotNegative = Field(0.0, description="Per message.")
    send_nj_per_byte: NotNegative = Field(0.0, description="Nanojoules of the sender.")
    send_uj_per_message: NotNegative = Field(0.0, description="Microjoules of the sender.")
    receive_nj_per_byte: NotNegative = Field(0.0, description="Nanojoules of the receiver.")
    receive_uj_per_message: NotNegative = Field(0.0, description="Microjoules of the receiver.")
    radio: RadioSpec | None = Field(None, description="Instead of the four keys above.")
    price_per_gib: NotNegative = Field(0.0, description="Money for 2^30 bytes.")

    @model_validator(mode="after")
    def _one_energy(self) -> Self:
        energy_keys = [key for key in self.model_fields_set if "_nj_" in key or "_uj_" in key]
        if self.radio is not None and energy_keys:
            raise ValueError(f"give either radio or {sorted(energy_keys)[0]}, not both")
        return self

    @property
    def send_energy(self) -> tuple[float, float]:
        """Joules per byte and per message that the sender spends."""
        if self.radio is not None:
            return self._radio_j(self.radio.send_mw_per_mbit_per_s, self.radio.send_mw), 0.0
        return self.send_nj_per_byte / 1e9, self.send_uj_per_message / 1e6

    @property
    def receive_energy(self) -> tuple[float, float]:
        """Joules per byte and per message that the receiver spends."""
        if self.radio is not None:
            return self._radio_j(self.radio.receive_mw_per_mbit_per_s, self.radio.receive_mw), 0.0
        return self.receive_nj_per_byte / 1e9, self.receive_uj_per_message / 1e6

    def _radio_j(self, mw_per_mbit_per_s: float, mw: float) -> float:
        # Watts while it sends, over the bytes that it sends in a second.
        watts = (mw_per_mbit_per_s * self.bandwidth_mbit_per_s + mw) / 1e3
        return watts / self.bandwidth_bytes_per_s

    @property
    def name(self) -> str:
        """What budgets call it."""
        return f"{self.source}-{self.target}"

    @property
    def price_per_byte(self) -> float:
        """Money for a byte."""
        return self.price_per_gib / _GIBI

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Bandwidth in bytes per second."""
        return self.bandwidth_mbit_per_s * _MEGABIT_BYTES

    @property
    def latency_s(self) -> float:
        """Latency per message in seconds."""
        return self.latency_ms / 1e3
