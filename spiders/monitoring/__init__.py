"""Was it a good run? Its figures, the rules that judge them, what operators say to that, and who is told."""
