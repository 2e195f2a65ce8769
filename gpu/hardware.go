package gpu

// Hardware says what a device is.
type Hardware struct {
	Name              string `json:"name"`
	Memory            int64  `json:"memory_bytes"`
	ComputeCapability string `json:"compute_capability"` // such as 9.0
	Multiprocessors   int    `json:"multiprocessors"`
	DriverCUDA        string `json:"driver_cuda"` // newest CUDA that the driver knows, such as 12.8
}
