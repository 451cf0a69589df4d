"""What is known of w: moments, whitening, principal components, a flow; and a surrogate of what is made of it."""
