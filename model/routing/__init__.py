"""EM routing: ``eager`` reads like Procedure 1 and is exported; ``dispatch`` chooses the implementation that runs."""
