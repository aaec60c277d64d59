"""From a source to the rows that train and judge a model: read, snapshot, hold against the contract, split."""
