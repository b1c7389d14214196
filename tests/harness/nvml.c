/* A library that answers as NVIDIA's NVML does on a machine with one card that is 90 % full. What
   is declared is what nvml.h says of these functions; nothing of NVIDIA's code is here. */
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;

int nvmlInit_v2(void) { return getenv("FAKE_NVML_FAILS") ? 18 : 0; } /* 18: driver and library differ */
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "Driver/library version mismatch"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "580.95.05", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { (void)index; *handle = (void *)1; return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { (void)handle; strncpy(text, "NVIDIA Test 80GB", size); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    const char *said = getenv("FAKE_NVML_CAPABILITY");
    (void)handle;
    *major = said ? said[0] - '0' : 9;
    *minor = said ? said[2] - '0' : 0;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    (void)handle;
    memory->total = 80ull << 30;
    memory->used = 72ull << 30;
    memory->free = memory->total - memory->used;
    return 0;
}
