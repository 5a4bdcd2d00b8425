"""From a map of line dislocations to lines.

Skeleton graph, tracing, length; the network stands in `networks`.
"""
