"""How samples became a model's input, for who runs stages in a program of their own."""

from planner.plan.manifest import ClipPreparation, PicturePreparation
from planner.scenario.data_schema import AudioSpec, ImageSpec


def picture_preparation(spec: ImageSpec | None, *, channels_first: bool) -> PicturePreparation | None:
    """Return how pictures become the input; None where they do not.

    Parameters
    ----------
    channels_first
        Whether the stages want channels first whatever the scenario says, as of a converted model.
    """
    if spec is None:
        return None
    return PicturePreparation(
        layout="nchw" if channels_first else spec.layout,
        channels=spec.channels,
        resize_shorter=spec.resize_shorter,
        crop=spec.crop,
        letterbox=spec.letterbox,
        pad=spec.pad,
        letterbox_at=spec.letterbox_at,
        divide_by=_per_channel(spec.divide_by),
        subtract=_per_channel(spec.subtract),
        scale_by=_per_channel(spec.scale_by),
    )


def clip_preparation(spec: AudioSpec | None) -> ClipPreparation | None:
    """Return how WAV clips become the input; None where they do not."""
    if spec is None:
        return None
    return ClipPreparation(
        rate=spec.rate, seconds=spec.seconds, full_scale=spec.full_scale, features=spec.features
    )


def model_classes(names: tuple[str, ...], offset: int) -> tuple[str, ...]:
    """Return the name of each of the model's classes, in its order.

    Parameters
    ----------
    names
        Of the data's classes.
    offset
        Of the model's class over that of the data: `label_offset`.

    Examples
    --------
    >>> model_classes(("cat", "dog"), 1)
    ('', 'cat', 'dog')
    >>> model_classes(("none", "cat", "dog"), -1)
    ('cat', 'dog')
    """
    if not names:
        return ()
    return ("",) * offset + names if offset >= 0 else names[-offset:]


def _per_channel(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
