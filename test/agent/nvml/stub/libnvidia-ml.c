/*
 * A stand-in for libnvidia-ml.so.1 with two GPUs: an H100 on which everything works, and an A10-like one on which much
 * is not supported. Layouts and numbers as in nvml.h.
 *
 * The file named by NVML_STUB_FAULTS is read at every call; each of its lines is "FUNCTION GPU ACTION", with -1 for a
 * call that concerns no GPU and for any GPU. ACTION is a return code, or one of
 *   hang  create the file <faults>.hanging and sleep for ever
 *   segv  write to address 0
 *   exit  end the process with code 7
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int index; } device;
typedef struct {
  char busIdLegacy[16];
  unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
} pci_info;

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };

static device devices[] = {{0}, {1}};
static int sessions = 0;

static void hang(const char *faults) {
  char mark[4096];
  snprintf(mark, sizeof mark, "%s.hanging", faults);
  close(open(mark, O_CREAT | O_WRONLY, 0600));
  for (;;) pause();
}

static int fault(const char *function, int gpu) {
  const char *path = getenv("NVML_STUB_FAULTS");
  FILE *file = path == NULL ? NULL : fopen(path, "r");
  if (file == NULL) return SUCCESS;
  char name[128], action[32];
  int index, result = SUCCESS;
  while (result == SUCCESS && fscanf(file, "%127s %d %31s", name, &index, action) == 3) {
    if (strcmp(name, function) != 0 || (index != -1 && index != gpu)) continue;
    if (strcmp(action, "hang") == 0) hang(path);
    if (strcmp(action, "segv") == 0) *(volatile int *)0 = 1;
    if (strcmp(action, "exit") == 0) _exit(7);
    result = atoi(action);
  }
  fclose(file);
  return result;
}

#define BEGIN(gpu)                                        \
  int refused = fault(__func__, gpu);                     \
  if (refused != SUCCESS) return refused;                 \
  if (sessions == 0) return UNINITIALIZED;
#define BEGIN_DEVICE \
  if (d == NULL) return INVALID_ARGUMENT; \
  BEGIN(d->index)
#define ONLY_FIRST \
  if (d->index != 0) return NOT_SUPPORTED;

static int put(char *out, unsigned int length, const char *text) {
  if (strlen(text) + 1 > length) return INSUFFICIENT_SIZE;
  strcpy(out, text);
  return SUCCESS;
}

int nvmlInit_v2(void) {
  int refused = fault(__func__, -1);
  if (refused == SUCCESS) sessions++;
  return refused;
}

int nvmlShutdown(void) {
  BEGIN(-1)
  sessions--;
  return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *out, unsigned int length) {
  BEGIN(-1)
  return put(out, length, "570.172.08");
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
  BEGIN(-1)
  /* Sessions that were not closed show up as GPUs. */
  *count = 1 + sessions;
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device **d) {
  BEGIN((int)index)
  if (index > 1) return INVALID_ARGUMENT;
  *d = &devices[index];
  return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(device *d, pci_info *pci) {
  BEGIN_DEVICE
  memset(pci, 0, sizeof *pci);
  pci->domain = d->index;
  pci->bus = 0x3b + d->index;
  pci->pciDeviceId = 0x233010de;
  snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain, pci->bus, 0);
  snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, 0);
  return SUCCESS;
}

int nvmlDeviceGetUUID(device *d, char *out, unsigned int length) {
  BEGIN_DEVICE
  return put(out, length, d->index == 0 ? "GPU-11111111-2222-3333-4444-555555555555"
                                        : "GPU-66666666-7777-8888-9999-aaaaaaaaaaaa");
}

int nvmlDeviceGetName(device *d, char *out, unsigned int length) {
  BEGIN_DEVICE
  return put(out, length, d->index == 0 ? "NVIDIA H100 80GB HBM3" : "NVIDIA A10G");
}

int nvmlDeviceGetMinorNumber(device *d, unsigned int *minor) {
  BEGIN_DEVICE
  /* Not the index, on purpose. */
  *minor = 1 - d->index;
  return SUCCESS;
}

int nvmlDeviceGetTemperature(device *d, int sensor, unsigned int *out) {
  BEGIN_DEVICE
  if (sensor != 0) return INVALID_ARGUMENT;
  *out = 41 + d->index;
  return SUCCESS;
}

int nvmlDeviceGetEccMode(device *d, unsigned int *current, unsigned int *pending) {
  BEGIN_DEVICE
  *current = d->index == 0;
  *pending = 0;
  return SUCCESS;
}

int nvmlDeviceGetTotalEccErrors(device *d, int error, int counter, unsigned long long *out) {
  BEGIN_DEVICE
  ONLY_FIRST
  /* Above 2^32 on purpose: the counters have 64 bits. */
  *out = (error == 0 ? 5000000000ULL : 3ULL) + (counter == 1 ? 10 : 0);
  return SUCCESS;
}

int nvmlDeviceGetRemappedRows(device *d, unsigned int *correctable, unsigned int *uncorrectable,
                              unsigned int *pending, unsigned int *failed) {
  BEGIN_DEVICE
  ONLY_FIRST
  *correctable = 4;
  *uncorrectable = 2;
  *pending = 1;
  *failed = 0;
  return SUCCESS;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMigMode(device *d, unsigned int *current, unsigned int *pending) {
  BEGIN_DEVICE
  ONLY_FIRST
  *current = 0;
  *pending = 1;
  return SUCCESS;
}
#endif

int nvmlDeviceGetPowerUsage(device *d, unsigned int *milliwatts) {
  BEGIN_DEVICE
  ONLY_FIRST
  *milliwatts = 71250;
  return SUCCESS;
}

int nvmlDeviceGetClockInfo(device *d, int type, unsigned int *mhz) {
  BEGIN_DEVICE
  if (type != 1 && type != 2) return INVALID_ARGUMENT;
  *mhz = type == 1 ? 1980 : 2619;
  return SUCCESS;
}
