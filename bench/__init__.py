"""The benchmark: ``make bench`` measures paidonce on each database, and a peer for comparison if there is one."""
