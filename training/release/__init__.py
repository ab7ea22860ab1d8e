"""A trained network becomes an artefact: export, parity check, record."""
