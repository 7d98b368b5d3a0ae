"""A local page to play with the latent space of a run; only `doggan.play.page` needs Gradio."""
