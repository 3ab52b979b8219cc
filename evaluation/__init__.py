"""Text or images in, numbers out; knows no model and no Prefect."""
