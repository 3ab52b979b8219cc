"""How the servers are deployed in containers; ``infra.stack`` runs them without."""
