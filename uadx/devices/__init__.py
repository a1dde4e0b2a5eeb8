"""From a device string ("npu:0", "openvino:CPU") to a compiled model that runs there, or to the reason why not."""
