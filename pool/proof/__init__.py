"""What a miner can check with nothing but a block: the log's tree, its commitment, and statements."""
