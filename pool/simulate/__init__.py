"""What the scheme promises, computed and simulated: statistics of reward schemes, no money."""
