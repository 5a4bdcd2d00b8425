"""How far a frame can be trusted: whether it is of a kind that the model has learnt to see."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"live": ["LiveTrust", "Verdict"], "reasons": ["REASONS", "distrust_line"]}
)
