"""The state: what stands of every key of a host, in one LMDB environment that each of its processes has mapped. Made by
the fold from the records of the log, kept by whoever writes, and lost without loss: it is folded again.

One file is what lies under a key (`packed_rows`), one what is kept ready of it (`fronts`), one the environment
(`environment`), one reads (`lookup`), one writes (`transactions`), one follows the log (`upkeep`).
"""
