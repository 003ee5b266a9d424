"""The courier's side: what a photograph shows. Pages are made in the application that it stands beside."""
