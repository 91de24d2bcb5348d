"""What the samples say, and how sure that is: histograms, intervals, drift, service level objectives."""
