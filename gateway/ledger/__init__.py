"""What the usage rows add up to: sums that are kept when the rows are not, reports, and the price of the GPUs."""
