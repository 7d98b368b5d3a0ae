"""The table of the 94 convolutions of the 2015-12-05 Inception, and what they are called in each file."""


def _layers() -> dict[str, tuple[int, int, int, int]]:
    """Scope in the graph → kernel shape (height, width, channels in, channels out)."""
    layers: dict[str, tuple[int, int, int, int]] = {}

    def chain(scope: str, channels: int, *convolutions: tuple[int, int, int]) -> None:
        for i, (height, width, filters) in enumerate(convolutions):
            name = f"conv_{i}" if i else "conv"
            layers[f"{scope}/{name}" if scope else name] = (height, width, channels, filters)
            channels = filters

    chain("", 3, (3, 3, 32), (3, 3, 32), (3, 3, 64), (1, 1, 80), (3, 3, 192))
    for block, channels, pooled in (("mixed", 192, 32), ("mixed_1", 256, 64), ("mixed_2", 288, 64)):
        chain(block, channels, (1, 1, 64))
        chain(f"{block}/tower", channels, (1, 1, 48), (5, 5, 64))
        chain(f"{block}/tower_1", channels, (1, 1, 64), (3, 3, 96), (3, 3, 96))
        chain(f"{block}/tower_2", channels, (1, 1, pooled))
    chain("mixed_3", 288, (3, 3, 384))
    chain("mixed_3/tower", 288, (1, 1, 64), (3, 3, 96), (3, 3, 96))
    for block, n in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        chain(block, 768, (1, 1, 192))
        chain(f"{block}/tower", 768, (1, 1, n), (1, 7, n), (7, 1, 192))
        chain(f"{block}/tower_1", 768, (1, 1, n), (7, 1, n), (1, 7, n), (7, 1, n), (1, 7, 192))
        chain(f"{block}/tower_2", 768, (1, 1, 192))
    chain("mixed_8/tower", 768, (1, 1, 192), (3, 3, 320))
    chain("mixed_8/tower_1", 768, (1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192))
    for block, channels in (("mixed_9", 1280), ("mixed_10", 2048)):
        chain(block, channels, (1, 1, 320))
        chain(f"{block}/tower", channels, (1, 1, 384))
        chain(f"{block}/tower/mixed", 384, (1, 3, 384), (3, 1, 384))
        chain(f"{block}/tower_1", channels, (1, 1, 448), (3, 3, 384))
        chain(f"{block}/tower_1/mixed", 384, (1, 3, 384), (3, 1, 384))
        chain(f"{block}/tower_2", channels, (1, 1, 192))
    return layers


LAYERS = _layers()


def npz_key(scope: str) -> str:
    """The name of a scope in the `.npz`: dots for slashes, but underscores inside the last two blocks."""
    block, _, rest = scope.partition("/")
    if not rest:
        return block
    return f"{block}.{rest.replace('/', '_' if block in ('mixed_9', 'mixed_10') else '.')}"
