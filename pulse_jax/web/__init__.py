"""The page on which a picture is uploaded and its solutions are looked at: a layer over runs; `pulse-jax serve`."""
