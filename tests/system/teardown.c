/* Stands for Isaac Gym: works, and dies of SIGSEGV when its process takes itself down, in the way that CRASH names. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *nothing;

/* What the destructor of a Python object calls. */
void destroy(void) { *(volatile char *)nothing = 1; }

#if CRASH_IN_ATEXIT
__attribute__((constructor)) static void load(void) { atexit(destroy); }
#elif CRASH_IN_DESTRUCTOR
__attribute__((destructor)) static void unload(void) { destroy(); }
#elif CRASH_IN_THREAD
/* A thread that goes on working on memory which teardown frees under it. */
static volatile char *scene;

static void *simulate(void *unused) {
    (void)unused;
    for (;;) scene[0]++;
    return NULL;
}

__attribute__((constructor)) static void load(void) {
    pthread_t thread;
    scene = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_create(&thread, NULL, simulate, NULL);
}

__attribute__((destructor)) static void unload(void) {
    munmap((void *)scene, 4096);
    sleep(10);
}
#endif
