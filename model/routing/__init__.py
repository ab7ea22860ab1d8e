"""EM routing: the eager form that reads like Procedure 1, and the dispatch to the fastest implementation."""
