"""What the explorer page costs: from a slider to the screen, and for those who only ask for predictions."""
