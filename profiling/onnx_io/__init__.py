"""Models in and out: loading, large weights, subgraphs, names, extracting."""
