"""How anything is stored, launched, called, configured and deployed."""
