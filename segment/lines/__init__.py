"""From a map of line dislocations to lines: skeleton graph, tracing, length; the network stands in `networks`."""
