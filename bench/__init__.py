"""The benchmark: ``make bench`` measures paidonce on each database, beside a peer if there is one."""
