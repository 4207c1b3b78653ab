"""PROBLEM.json in, its answer out: `plan solve`.

cross_references: names in PROBLEM.json that refer to each other
doubtful_parts: what is right by itself, but seldom meant
loader: PROBLEM.json -> PlacementProblem
schema: PROBLEM.json as pydantic models
solution: the answer of `plan solve`
solve_file: the flow of `plan solve`
"""
