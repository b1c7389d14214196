"""Work on the device: CUDA graphs, copies to the host without waiting, processes that train together."""
