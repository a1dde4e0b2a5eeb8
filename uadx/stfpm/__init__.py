"""Student-teacher feature pyramid matching (Wang et al., BMVC 2021): network, loss, training, export, reference.

A student learns to repeat the features of a frozen teacher on good images only; where it cannot, the image is
unlike what it was taught. `weights` and `reference` need NumPy alone, `graph` needs onnx, the rest needs torch.
"""
