"""What is known of w: moments, whitening, principal components, a flow."""
