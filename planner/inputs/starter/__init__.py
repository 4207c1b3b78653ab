"""A first scenario for a model, which runs at once on made-up samples: `plan init`.

starter_pictures: which inputs may be pictures, and what a first scenario says of them
starter_samples: ways to make up a model's inputs, tried until it runs and answers with numbers
starter_scenario: a first scenario for a model, and code that makes up samples for it
"""
