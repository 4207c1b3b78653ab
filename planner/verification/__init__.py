"""Runs stages against the fp32 model: errors, bit equality, latency.

acceptance: equal chains, and sentences on broken budgets
accuracy_and_noise: sums up, sample by sample, noise, agreement, accuracy and a metric of the user
binomial_confidence: what counts among samples say of shares of all such samples
budget_margins: whether a plan keeps its error budgets, how sure that is, and where other samples would put it
chain_check: whether the chain of stages is the whole mixed model: bits, integer kernels, transposes
cost_doubt: whether the built stages take the time that was predicted for them
error_budgets: which error budgets a plan keeps, as measured and with a margin for few samples
integer_kernels: how many kernels compute on integers once the runtime has optimized the models
measure_errors: runs a plan and the fp32 model on samples: errors, accuracy and noise
median_interval: within which of some values the median of all such values lies
noise_bootstrap: where the noise of all such samples may lie, by drawing the measured ones again and again
noisy_costs: whether runs that costs were measured with spread too far
sample_size: budgets that the samples are too few to show, and how many would do
stage_chain: runs a chain of stages on this machine, handing each cut tensor from one to the next
stage_times: seconds of stages over those of the fp32 model in the same runtime
time_side_by_side: times several plans in turn, side by side with the fp32 model
verify: runs the stages in a chain, and compares them with the fp32 model and the whole mixed model
"""
