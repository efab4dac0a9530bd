/*
 * selvedge: inference of quantized models on embedded and edge devices.
 *
 *     static selvedge_session session;
 *     static SELVEDGE_ALIGNED uint8_t arena[MODEL_ARENA_BYTES];
 *
 *     status = selvedge_session_init(&session, sizeof session, model, model_bytes, arena, sizeof arena);
 *     status = selvedge_write_f32(&session, 0, features, FEATURES);     before every run
 *     status = selvedge_run(&session);
 *     status = selvedge_argmax(&session, 0, &label);
 *
 * Memory. The library allocates nothing and keeps no state of its own. A model (the artifact), a
 * session and an arena belong to the caller, who keeps all three where they are, and the artifact
 * unchanged, from selvedge_session_init to selvedge_session_end; nobody else touches the arena in
 * between, except through pointers this interface gives. Sessions are independent: one artifact
 * may serve several, an arena serves one at a time.
 *
 * Threads. A session takes one call at a time; the caller orders calls from several threads.
 * Different sessions may run at the same time. A call from an interrupt in the midst of another
 * call on the same session returns SELVEDGE_IN_USE and changes nothing. Functions without a
 * session may be called at any time.
 *
 * What is checked. Null pointers, misaligned pointers, lengths, indices, memory that overlaps, a
 * session that is zeroed, filled with other bytes, moved, copied or overrun at either end: each
 * gives a status. A hostile or damaged artifact gives a status or wrong numbers, nothing worse.
 * What cannot be checked is the caller's promise: that a pointer which is not null leads to as
 * many bytes as stated, readable or writable as the function needs; that the memory rules above
 * are kept.
 *
 * Every function that can fail returns a selvedge_status. Results are stored through pointers,
 * which must be aligned for their type and must not lie in the arena or in the session; they are
 * left alone on failure. selvedge_last_error tells more.
 */
#ifndef SELVEDGE_H
#define SELVEDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface, to be compared with selvedge_abi_version(). */
#define SELVEDGE_ABI_VERSION 2

/* Words of a selvedge_session. */
#define SELVEDGE_SESSION_WORDS 56

/* Alignment of artifacts and arenas, in bytes. */
#define SELVEDGE_ALIGNMENT 16

/* Most dimensions of a tensor. */
#define SELVEDGE_MAX_RANK 6

/* Aligns an array: static SELVEDGE_ALIGNED uint8_t arena[4096]; */
#if defined(__GNUC__)
#define SELVEDGE_ALIGNED __attribute__((aligned(16)))
#elif defined(_MSC_VER)
#define SELVEDGE_ALIGNED __declspec(align(16))
#elif defined(__cplusplus)
#define SELVEDGE_ALIGNED alignas(16)
#else
#define SELVEDGE_ALIGNED _Alignas(16)
#endif

/*
 * What a call came to. The numbers are stable: firmware may log them. A number that is not listed
 * is of a newer library. The last enumerator only makes the type 32 bits wide (short enums).
 *
 * "detail" is what selvedge_last_error gives with the status.
 */
typedef enum selvedge_status {
    SELVEDGE_OK = 0,

    /* The artifact. */
    SELVEDGE_TRUNCATED = 1,           /* shorter than its header says: copy the whole file */
    SELVEDGE_BAD_MAGIC = 2,           /* not an artifact: compile the model first */
    SELVEDGE_BAD_VERSION = 3,         /* another version of the format (detail: which): compile again */
    SELVEDGE_MISALIGNED_ARTIFACT = 4, /* does not start at a multiple of SELVEDGE_ALIGNMENT */
    SELVEDGE_OUT_OF_BOUNDS = 5,       /* points outside of itself: damaged (detail: section) */
    SELVEDGE_BAD_SECTION = 6,         /* a section is missing, unknown or given twice (detail: section) */
    SELVEDGE_DIGEST_MISMATCH = 7,     /* the bytes are not those the compiler wrote */
    SELVEDGE_BAD_TENSOR = 8,          /* a tensor record is not valid (detail: tensor) */

    /* The arena. */
    SELVEDGE_ARENA_TOO_SMALL = 9,   /* detail: bytes needed, of a region those of that region */
    SELVEDGE_MISALIGNED_ARENA = 10, /* does not start at a multiple of SELVEDGE_ALIGNMENT */

    /* The program in the artifact. */
    SELVEDGE_OVERLAP = 11,       /* two live tensors share memory: damaged */
    SELVEDGE_BAD_LIFETIME = 12,  /* a step reads a tensor that is not alive: damaged */
    SELVEDGE_TOO_MANY_LIVE = 13, /* more tensors alive at one step than the runtime tracks */
    SELVEDGE_OP_NOT_LINKED = 14, /* the library was built without this op (step, op, format) */
    SELVEDGE_BAD_STEP = 15,      /* operands do not fit their op: damaged (step, op) */
    SELVEDGE_HAS_STATE = 16,     /* a streaming model, which this interface does not run */

    /* Inputs, outputs, running. */
    SELVEDGE_NO_SUCH_IO = 17,         /* no input or output of this index (detail: the index) */
    SELVEDGE_WRONG_LENGTH = 18,       /* detail: the length needed (bytes; selvedge_read_f32: elements) */
    SELVEDGE_WRONG_TYPE = 19,         /* the tensor holds another element type */
    SELVEDGE_NOT_A_NUMBER = 20,       /* a NaN cannot be quantized (detail: its index, or the step) */
    SELVEDGE_INDEX_OUT_OF_RANGE = 21, /* an index the model computed is out of range (step, op) */
    SELVEDGE_BUSY = 22,               /* a stepped run is under way: finish or reset it first */
    SELVEDGE_NO_SUCH_ISA = 23,        /* hosts: SELVEDGE_ISA names what this CPU lacks */

    /* Weights in a file of their own. */
    SELVEDGE_WEIGHTS_MISMATCH = 24, /* the weights belong to another artifact */
    /* Weights that are read step by step, which this interface does not do. */
    SELVEDGE_NOT_STAGED = 25,    /* the artifact's weights cannot be read step by step */
    SELVEDGE_WEIGHT_SOURCE = 26, /* reading the weights failed (detail: the source's) */
    /* Streaming models, which this interface does not run. */
    SELVEDGE_STATE_TOO_SMALL = 27, /* the memory for the state is too small (detail: bytes needed) */
    SELVEDGE_STATE_MISMATCH = 28,  /* the state belongs to another model */

    /* The calls of this interface. */
    SELVEDGE_NULL_POINTER = 256,       /* a pointer is null */
    SELVEDGE_MISALIGNED_SESSION = 257, /* a session starts at a multiple of sizeof(void *) */
    SELVEDGE_SESSION_SIZE = 258,       /* header and library differ: compile against its header */
    SELVEDGE_NOT_INITIALIZED = 259,    /* zeroed, ended, or init has failed */
    SELVEDGE_BAD_SESSION = 260,        /* never initialized, moved, copied or overwritten */
    SELVEDGE_IN_USE = 261,             /* another call on this session is at work */
    SELVEDGE_MISALIGNED_DATA = 262,    /* a pointer is not aligned for its type */
    SELVEDGE_OVERLAPPING_MEMORY = 263, /* data, arena, artifact and session must lie apart */
    SELVEDGE_NOT_RUN = 264,            /* no run has finished since an input was written */
    SELVEDGE_NOT_WRITTEN = 265,        /* an input was not written since the last run (detail: which) */

    SELVEDGE_STATUS_WIDTH = 0x7fffffff
} selvedge_status;

/* Element types of tensors. */
typedef enum selvedge_dtype {
    SELVEDGE_F32 = 1,
    SELVEDGE_I8 = 2,
    SELVEDGE_U8 = 3,
    SELVEDGE_I16 = 4,
    SELVEDGE_I32 = 5,
    SELVEDGE_I64 = 6,
    SELVEDGE_BOOL = 7, /* one byte, 0 or 1 */
    SELVEDGE_U16 = 8,
    SELVEDGE_U32 = 9,
    SELVEDGE_U64 = 10,

    SELVEDGE_DTYPE_WIDTH = 0x7fffffff
} selvedge_dtype;

/* A model ready to run. Zeroed memory is a session that is not initialized. */
typedef struct selvedge_session {
    uintptr_t reserved[SELVEDGE_SESSION_WORDS];
} selvedge_session;

/* What an artifact states. */
typedef struct selvedge_artifact_info {
    uint32_t version_major; /* of the format */
    uint32_t version_minor;
    uint32_t total_bytes; /* length of the artifact */
    uint32_t arena_bytes; /* arena a session needs */
    uint32_t alignment;   /* of artifact and arena */
    uint32_t inputs;
    uint32_t outputs;
    uint32_t steps;
    uint8_t digest[32]; /* SHA-256 as stored; selvedge_artifact_verify compares */
} selvedge_artifact_info;

/* Shape, type and grid of a tensor. */
typedef struct selvedge_tensor_info {
    selvedge_dtype dtype;
    uint32_t rank;
    uint32_t dims[SELVEDGE_MAX_RANK]; /* in the order of memory; 0 behind the last */
    uint32_t elements;
    uint32_t bytes;
    uint32_t quantized; /* 1: real value = (q - zero_point) * scale; 0: no grid */
    float scale;
    int32_t zero_point;
} selvedge_tensor_info;

/* How far a stepped run has come. */
typedef struct selvedge_progress {
    uint32_t done; /* 1: the outputs may be read */
    uint32_t next_step;
    uint32_t steps;
} selvedge_progress;

/* The last failure on a session. */
typedef struct selvedge_error {
    selvedge_status status; /* SELVEDGE_OK: none since init */
    int32_t step;           /* step of the model, or -1 */
    uint32_t op;            /* op and weight format of that step, for selvedge_op_name */
    uint32_t format;
    uint32_t detail; /* see selvedge_status */
} selvedge_error;

/* Versions and names. The texts are constants that end in NUL. */

/* SELVEDGE_ABI_VERSION of the library. */
uint32_t selvedge_abi_version(void);

/* Version of the library, such as "0.1.0". */
const char *selvedge_version(void);

/* Name of a status, such as "SELVEDGE_OK"; "SELVEDGE_UNKNOWN_STATUS" for other numbers. */
const char *selvedge_status_name(selvedge_status status);

/* Name of an element type, such as "i8"; "unknown" for other numbers. */
const char *selvedge_dtype_name(uint32_t dtype);

/*
 * Writes an op as SELVEDGE_OPS takes it, such as "Conv2d<W8>", into `bytes` characters at `text`;
 * 48 are enough. Names this library does not know are "?".
 * Errors: SELVEDGE_NULL_POINTER, SELVEDGE_WRONG_LENGTH.
 */
selvedge_status selvedge_op_name(uint32_t op, uint32_t format, char *text, size_t bytes);

/* Artifacts. `artifact_bytes` may exceed the artifact's own length (a flash partition). */

/*
 * Reads an artifact's header and checks its section table; costs the same for every model.
 * Errors: NULL_POINTER, MISALIGNED_DATA (info), WRONG_LENGTH (no object is that long), the first
 * group of selvedge_status except DIGEST_MISMATCH.
 */
selvedge_status selvedge_artifact_inspect(const void *artifact, size_t artifact_bytes, selvedge_artifact_info *info);

/*
 * Compares the SHA-256 an artifact holds with that of its bytes; takes time in proportion to its
 * length. selvedge_session_init does not do it. It finds damage, not forgery: check a signature
 * where the artifact comes from outside.
 * Errors: as selvedge_artifact_inspect, and DIGEST_MISMATCH.
 */
selvedge_status selvedge_artifact_verify(const void *artifact, size_t artifact_bytes);

/*
 * The same for an artifact in two files (compile --weights-file): the head, and the weights file.
 * Errors: as selvedge_artifact_verify, and WEIGHTS_MISMATCH (the files are of two compilations).
 */
selvedge_status selvedge_split_verify(const void *head, size_t head_bytes, const void *weights, size_t weights_bytes);

/*
 * Bytes of the arena's two regions (compile --memory fast=BYTES,slow=BYTES), of an artifact or of
 * a head; the second is 0 where the arena is one. Errors: as selvedge_artifact_inspect, and
 * MISALIGNED_DATA for either pointer.
 */
selvedge_status selvedge_artifact_regions(const void *artifact, size_t artifact_bytes, uint32_t *fast_bytes,
                                          uint32_t *slow_bytes);

/* Sessions. */

/*
 * Checks every record of an artifact, once, and makes a session of it. `session` may hold
 * anything; a session that lies there already is given up. `session_bytes` is
 * sizeof(selvedge_session). The arena is zeroed as far as the model uses it.
 * Errors: NULL_POINTER, MISALIGNED_SESSION, SESSION_SIZE, OVERLAPPING_MEMORY, WRONG_LENGTH (no
 * object is that long), those of the artifact, the arena and the program. The session is then not
 * initialized; selvedge_last_error still gives step, op and detail.
 */
selvedge_status selvedge_session_init(selvedge_session *session, size_t session_bytes, const void *artifact,
                                      size_t artifact_bytes, void *arena, size_t arena_bytes);

/*
 * The same with the arena in two memories, such as tightly coupled RAM and SDRAM, of at least the
 * bytes that selvedge_artifact_regions gives. Both start at a multiple of SELVEDGE_ALIGNMENT and
 * are subject to what is said of the arena; of no bytes, `slow` may be null.
 * Errors: as selvedge_session_init.
 */
selvedge_status selvedge_session_init_regions(selvedge_session *session, size_t session_bytes, const void *artifact,
                                              size_t artifact_bytes, void *fast, size_t fast_bytes, void *slow,
                                              size_t slow_bytes);

/*
 * The same with the weights in a memory of their own, such as flash that is mapped into the address
 * space: `head` is the artifact that was compiled with --weights-file, `weights` that file. Both
 * start at a multiple of SELVEDGE_ALIGNMENT and stay unchanged until the session ends.
 * Errors: as selvedge_session_init, and WEIGHTS_MISMATCH (the files are of two compilations).
 */
selvedge_status selvedge_session_init_split(selvedge_session *session, size_t session_bytes, const void *head,
                                            size_t head_bytes, const void *weights, size_t weights_bytes, void *fast,
                                            size_t fast_bytes, void *slow, size_t slow_bytes);

/*
 * Ends a session; artifact and arena are the caller's again. There is nothing to free.
 *
 * This function and all below return NULL_POINTER, MISALIGNED_SESSION, NOT_INITIALIZED,
 * BAD_SESSION and IN_USE where they apply, and for the pointers they are given NULL_POINTER,
 * MISALIGNED_DATA and OVERLAPPING_MEMORY. "Errors" lists what comes on top.
 */
selvedge_status selvedge_session_end(selvedge_session *session);

/*
 * The last failure since init, that of init included. Statuses a session could not record are not
 * here: those of null, misaligned, damaged and busy sessions. Success does not clear it.
 */
selvedge_status selvedge_last_error(selvedge_session *session, selvedge_error *error);

/*
 * Inputs. Write every input before each run: the program reuses the memory of what it has read, so
 * a run without that is refused (checked for the first 32 inputs).
 */

/* Number of inputs. */
selvedge_status selvedge_input_count(selvedge_session *session, uint32_t *count);

/* Shape, type and grid of an input. Errors: NO_SUCH_IO. */
selvedge_status selvedge_input_info(selvedge_session *session, uint32_t input, selvedge_tensor_info *info);

/* Writes an int8 input of `count` elements. Errors: NO_SUCH_IO, WRONG_TYPE, WRONG_LENGTH, BUSY. */
selvedge_status selvedge_write_i8(selvedge_session *session, uint32_t input, const int8_t *data, size_t count);

/* Writes an input of any type from its little-endian bytes. Errors: NO_SUCH_IO, WRONG_LENGTH, BUSY. */
selvedge_status selvedge_write_bytes(selvedge_session *session, uint32_t input, const void *data, size_t bytes);

/*
 * Quantizes `count` real values to the grid of an int8 or uint8 input (ONNX QuantizeLinear); an
 * f32 input takes them as they are, NaN too. Errors: NO_SUCH_IO, WRONG_TYPE (no such grid),
 * WRONG_LENGTH, NOT_A_NUMBER, BUSY.
 */
selvedge_status selvedge_write_f32(selvedge_session *session, uint32_t input, const float *data, size_t count);

/*
 * Where an input lies in the arena, to be written in place (by DMA, say), as little-endian
 * elements, and its length. Valid until the next call with this session: ask again before each
 * run. Asking counts as writing. Errors: NO_SUCH_IO, BUSY.
 */
selvedge_status selvedge_input_data(selvedge_session *session, uint32_t input, void **data, size_t *bytes);

/* Running. */

/* Runs all steps. Errors: NOT_WRITTEN, NOT_A_NUMBER, INDEX_OUT_OF_RANGE, BUSY. */
selvedge_status selvedge_run(selvedge_session *session);

/*
 * Runs at most `budget` steps of a run that is spread over calls, and tells how far it came.
 * Until it is done, inputs and outputs are out of reach (BUSY). A failure ends the run.
 * Errors: NOT_WRITTEN, NOT_A_NUMBER, INDEX_OUT_OF_RANGE.
 */
selvedge_status selvedge_run_steps(selvedge_session *session, uint32_t budget, selvedge_progress *progress);

/* Gives up a stepped run; nothing where there is none. */
selvedge_status selvedge_reset(selvedge_session *session);

/* Outputs. They hold from the end of a run until an input is written or the next run. */

/* Number of outputs. */
selvedge_status selvedge_output_count(selvedge_session *session, uint32_t *count);

/* Shape, type and grid of an output. Errors: NO_SUCH_IO. */
selvedge_status selvedge_output_info(selvedge_session *session, uint32_t output, selvedge_tensor_info *info);

/* Copies an int8 output of `count` elements. Errors: NO_SUCH_IO, WRONG_TYPE, WRONG_LENGTH, BUSY, NOT_RUN. */
selvedge_status selvedge_read_i8(selvedge_session *session, uint32_t output, int8_t *data, size_t count);

/* Copies the little-endian bytes of an output of any type. Errors: NO_SUCH_IO, WRONG_LENGTH, BUSY, NOT_RUN. */
selvedge_status selvedge_read_bytes(selvedge_session *session, uint32_t output, void *data, size_t bytes);

/*
 * The real values of an output of `count` elements: (q - zero_point) * scale of a grid, plain
 * numbers otherwise. Errors: NO_SUCH_IO, WRONG_LENGTH (detail: elements), BUSY, NOT_RUN.
 */
selvedge_status selvedge_read_f32(selvedge_session *session, uint32_t output, float *data, size_t count);

/*
 * Index of the greatest element of an output; of equal ones the first; NaN is never the greatest.
 * Errors: NO_SUCH_IO, BUSY, NOT_RUN.
 */
selvedge_status selvedge_argmax(selvedge_session *session, uint32_t output, uint32_t *index);

/*
 * Where an output lies, to be read in place, and its length. Valid until the next call with this
 * session. Errors: NO_SUCH_IO, BUSY, NOT_RUN.
 */
selvedge_status selvedge_output_data(selvedge_session *session, uint32_t output, const void **data, size_t *bytes);

/*
 * Bare metal only; defined by the library as a weak symbol, to be defined by firmware that wants
 * another end, and never to be called. Reached when the library panics, which would be a defect
 * of the library. It must not return. The library's own executes a trap instruction, which on
 * Cortex-M ends in the HardFault handler.
 */
void selvedge_panic(void);

#ifdef __cplusplus
}
#endif

#endif
