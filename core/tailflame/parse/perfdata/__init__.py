"""perf.data files read without perf: records, samples, address spaces, call chains and switches, as columns.

records, packed    where each record begins; compressed ones unpacked
attrs, samples     the events, and all fields of all samples
counts             samples that read the counters of a group
sideband           names of threads, mapped files, processes, losses
threads, spaces    who a thread was, and what lay at an address, at a time
chains, prefixes   distinct call chains, and the table of stacks
naming, assemble   functions of places, and the profile
tracing, switches  the scheduler's tracepoints: time off the processor
reader             all of it in order
"""
