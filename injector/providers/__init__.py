"""Secret stores, one module for each, loaded when a plan names them."""
