"""From the raw text of a data set to typed batches, and to the exact place of what is wrong in it."""
