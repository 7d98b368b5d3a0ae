"""What a run has learned: pictures of its networks from the inside, each made from a checkpoint and some z."""
