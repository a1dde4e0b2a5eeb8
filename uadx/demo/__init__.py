"""The demo product: a procedurally drawn woven wire mesh, good and defective, in the MVTec AD folder layout."""
