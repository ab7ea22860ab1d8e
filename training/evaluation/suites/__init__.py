"""What a trained network is asked: a suite each, which answers with a table, JSON and a picture."""
