/* A library that answers as NVIDIA's NVML does on a machine with one card that is 90 % full; with
   FAKE_NVML_STATE as full as that file says: MiB in use, a process, its MiB. What is declared is
   what nvml.h says of these functions; nothing of NVIDIA's code is here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;

static unsigned long long used_mib, process_mib;
static unsigned process;
static void look(void) {
    FILE *file = getenv("FAKE_NVML_STATE") ? fopen(getenv("FAKE_NVML_STATE"), "r") : NULL;
    used_mib = 72 << 10;
    process = 0;
    if (!file) return;
    if (fscanf(file, "%llu %u %llu", &used_mib, &process, &process_mib) < 3) process = 0;
    fclose(file);
}

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
    look();
    memory->total = 80ull << 30;
    memory->used = used_mib << 20;
    memory->free = memory->total - memory->used;
    return 0;
}
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) { (void)handle; strncpy(text, "GPU-00000000-test", size); return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_t *processes) {
    (void)handle;
    look();
    if (!process) { *count = 0; return 0; }
    if (!processes || !*count) { *count = 1; return 7; } /* 7: more room is needed */
    *count = 1;
    processes[0] = (process_t){process, process_mib << 20, 0, 0};
    return 0;
}
