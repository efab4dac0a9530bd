/* The digit classifier, and what goes wrong with it on purpose. */
#include "check.h"
#include "digits.h"

/* The layout that tests/header.rs proves on the Rust side. */
#define STATIC_ASSERT(condition, name) typedef char assert_##name[(condition) ? 1 : -1]
STATIC_ASSERT(sizeof(selvedge_status) == 4, status);
STATIC_ASSERT(sizeof(selvedge_dtype) == 4, dtype);
STATIC_ASSERT(sizeof(selvedge_session) == SELVEDGE_SESSION_WORDS * sizeof(void *), session);
STATIC_ASSERT(sizeof(selvedge_artifact_info) == 64, artifact_info);
STATIC_ASSERT(offsetof(selvedge_artifact_info, digest) == 32, digest);
STATIC_ASSERT(sizeof(selvedge_tensor_info) == 52, tensor_info);
STATIC_ASSERT(offsetof(selvedge_tensor_info, zero_point) == 48, zero_point);
STATIC_ASSERT(sizeof(selvedge_progress) == 12, progress);
STATIC_ASSERT(sizeof(selvedge_error) == 20, error);
STATIC_ASSERT(offsetof(selvedge_error, detail) == 16, detail);

static void image(float *pixels, int index) {
    int i;
    for (i = 0; i < DIGITS_PIXELS; i++) {
        pixels[i] = (float)digits_images[index * DIGITS_PIXELS + i] / (float)DIGITS_MAX_PIXEL;
    }
}

static void classify_images(const memory *m) {
    static float pixels[DIGITS_PIXELS];
    static uint8_t output[4 * DIGITS_CLASSES];
    selvedge_tensor_info info;
    uint32_t label = 0, i;
    int n;

    EXPECT(selvedge_output_info(m->session, 0, &info), SELVEDGE_OK);
    EXPECT_TRUE(info.bytes <= sizeof output);
    for (n = 0; n < DIGITS_IMAGES; n++) {
        image(pixels, n);
        EXPECT(selvedge_write_f32(m->session, 0, pixels, DIGITS_PIXELS), SELVEDGE_OK);
        EXPECT(selvedge_run(m->session), SELVEDGE_OK);
        EXPECT(selvedge_argmax(m->session, 0, &label), SELVEDGE_OK);
        EXPECT(selvedge_read_bytes(m->session, 0, output, info.bytes), SELVEDGE_OK);
        put("image ");
        put_number((uint32_t)n);
        put(": class ");
        put_number(label);
        put(", output");
        for (i = 0; i < info.bytes; i++) {
            put_byte(output[i]);
        }
        put("\n");
    }
}

static void classify(const memory *m, const char *name, const uint8_t *model, size_t model_bytes) {
    selvedge_artifact_info artifact;

    EXPECT(selvedge_artifact_inspect(model, model_bytes, &artifact), SELVEDGE_OK);
    EXPECT(selvedge_artifact_verify(model, model_bytes), SELVEDGE_OK);
    EXPECT(selvedge_session_init(m->session, sizeof(selvedge_session), model, model_bytes, m->arena, m->arena_bytes),
           SELVEDGE_OK);
    put(name);
    put(": ");
    put_number((uint32_t)model_bytes);
    put(" bytes, arena ");
    put_number(artifact.arena_bytes);
    put("\n");
    classify_images(m);
}

/* From two regions, with the weights in memory of their own. */
static selvedge_status init_split(const memory *m, const void *weights, void *slow, size_t slow_bytes) {
    return selvedge_session_init_split(m->session, sizeof(selvedge_session), digits_head, sizeof digits_head, weights,
                                       sizeof digits_weights, m->arena, DIGITS_FAST_BYTES, slow, slow_bytes);
}

static void classify_split(const memory *m) {
    static SELVEDGE_ALIGNED uint8_t slow[DIGITS_SLOW_BYTES];
    static SELVEDGE_ALIGNED uint8_t other[sizeof digits_weights];
    uint32_t fast_bytes = 0, slow_bytes = 0, n = 0;
    selvedge_artifact_info artifact;
    selvedge_error error;
    size_t i;

    EXPECT(selvedge_artifact_regions(digits_head, sizeof digits_head, &fast_bytes, &slow_bytes), SELVEDGE_OK);
    EXPECT_TRUE(fast_bytes == DIGITS_FAST_BYTES && slow_bytes == DIGITS_SLOW_BYTES);
    EXPECT(selvedge_artifact_regions(digits_head, sizeof digits_head, &fast_bytes, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_artifact_regions(digits_model, sizeof digits_model, &fast_bytes, &slow_bytes), SELVEDGE_OK);
    EXPECT_TRUE(fast_bytes == DIGITS_ARENA_BYTES && slow_bytes == 0);
    EXPECT(selvedge_artifact_inspect(digits_head, sizeof digits_head, &artifact), SELVEDGE_TRUNCATED);
    for (i = 0; i < sizeof digits_weights; i++) {
        other[i] = digits_weights[i];
    }
    other[32] ^= 1;
    EXPECT(selvedge_split_verify(digits_head, sizeof digits_head, other, sizeof other), SELVEDGE_WEIGHTS_MISMATCH);
    EXPECT(init_split(m, other, slow, sizeof slow), SELVEDGE_WEIGHTS_MISMATCH);
    other[32] ^= 1;
    other[64] ^= 1;
    EXPECT(selvedge_split_verify(digits_head, sizeof digits_head, other, sizeof other), SELVEDGE_DIGEST_MISMATCH);
    EXPECT(init_split(m, NULL, slow, sizeof slow), SELVEDGE_NULL_POINTER);
    EXPECT(init_split(m, digits_weights, slow, sizeof slow - 1), SELVEDGE_ARENA_TOO_SMALL);
    EXPECT(selvedge_last_error(m->session, &error), SELVEDGE_OK);
    EXPECT_TRUE(error.detail == DIGITS_SLOW_BYTES);
    EXPECT(init_split(m, digits_weights, NULL, 0), SELVEDGE_ARENA_TOO_SMALL);
    EXPECT(init_split(m, digits_weights, NULL, 1), SELVEDGE_NULL_POINTER);
    EXPECT(init_split(m, digits_weights, m->arena, sizeof slow), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_session_init_regions(m->session, sizeof(selvedge_session), digits_model, sizeof digits_model,
                                         m->arena, m->arena_bytes, NULL, 0),
           SELVEDGE_OK);
    EXPECT(selvedge_split_verify(digits_head, sizeof digits_head, digits_weights, sizeof digits_weights), SELVEDGE_OK);
    EXPECT(init_split(m, digits_weights, slow, sizeof slow), SELVEDGE_OK);
    EXPECT(selvedge_argmax(m->session, 0, (uint32_t *)(void *)slow), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_argmax(m->session, 0, &n), SELVEDGE_NOT_RUN);
    put("digits, split: ");
    put_number((uint32_t)(sizeof digits_head + sizeof digits_weights));
    put(" bytes, fast ");
    put_number(DIGITS_FAST_BYTES);
    put(", slow ");
    put_number(DIGITS_SLOW_BYTES);
    put("\n");
    classify_images(m);
}

void check_digits(const memory *m) {
    classify(m, "digits", digits_model, sizeof digits_model);
    classify(m, "digits_i8", digits_i8_model, sizeof digits_i8_model);
    classify_split(m);
}

static selvedge_status init(const memory *m) {
    return selvedge_session_init(m->session, sizeof(selvedge_session), digits_i8_model, sizeof digits_i8_model, m->arena,
                                 m->arena_bytes);
}

void check_steps(const memory *m) {
    static float pixels[DIGITS_PIXELS];
    int8_t whole[DIGITS_CLASSES], stepped[DIGITS_CLASSES];
    selvedge_progress progress;
    uint32_t budget;
    int i;

    image(pixels, 4);
    EXPECT(init(m), SELVEDGE_OK);
    EXPECT(selvedge_write_f32(m->session, 0, pixels, DIGITS_PIXELS), SELVEDGE_OK);
    EXPECT(selvedge_run(m->session), SELVEDGE_OK);
    EXPECT(selvedge_read_i8(m->session, 0, whole, DIGITS_CLASSES), SELVEDGE_OK);
    for (budget = 1; budget <= 3; budget++) {
        EXPECT(selvedge_write_f32(m->session, 0, pixels, DIGITS_PIXELS), SELVEDGE_OK);
        do {
            EXPECT(selvedge_run_steps(m->session, budget, &progress), SELVEDGE_OK);
            if (failures == 0 && !progress.done) {
                EXPECT(selvedge_read_i8(m->session, 0, stepped, DIGITS_CLASSES), SELVEDGE_BUSY);
                EXPECT(selvedge_run(m->session), SELVEDGE_BUSY);
            }
        } while (failures == 0 && !progress.done);
        EXPECT(selvedge_read_i8(m->session, 0, stepped, DIGITS_CLASSES), SELVEDGE_OK);
        for (i = 0; i < DIGITS_CLASSES; i++) {
            EXPECT_TRUE(whole[i] == stepped[i]);
        }
    }
    EXPECT(selvedge_write_f32(m->session, 0, pixels, DIGITS_PIXELS), SELVEDGE_OK);
    EXPECT(selvedge_run_steps(m->session, 1, &progress), SELVEDGE_OK);
    EXPECT(selvedge_reset(m->session), SELVEDGE_OK);
    EXPECT(selvedge_read_i8(m->session, 0, stepped, DIGITS_CLASSES), SELVEDGE_NOT_RUN);
}

/* Artifacts that are none, and memory that is not what init needs. */
static void check_init(const memory *m) {
    static SELVEDGE_ALIGNED uint8_t copy[sizeof digits_i8_model];
    const size_t bytes = sizeof digits_i8_model, session_bytes = sizeof(selvedge_session);
    uint8_t *arena = (uint8_t *)m->arena;
    selvedge_session *s = m->session;
    selvedge_artifact_info info;
    selvedge_error error;
    size_t i;

    for (i = 0; i < bytes; i++) {
        copy[i] = digits_i8_model[i];
    }
    EXPECT(selvedge_artifact_inspect(NULL, bytes, &info), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_artifact_inspect(copy, bytes, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_artifact_inspect(copy, (size_t)-1, &info), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_artifact_inspect(copy, bytes - 1, &info), SELVEDGE_TRUNCATED);
    EXPECT(selvedge_artifact_inspect(copy, 0, &info), SELVEDGE_TRUNCATED);
    EXPECT(selvedge_artifact_inspect(copy + 4, bytes - 4, &info), SELVEDGE_MISALIGNED_ARTIFACT);
    copy[0] ^= 1;
    EXPECT(selvedge_artifact_inspect(copy, bytes, &info), SELVEDGE_BAD_MAGIC);
    copy[0] ^= 1;
    copy[4] ^= 2;
    EXPECT(selvedge_artifact_inspect(copy, bytes, &info), SELVEDGE_BAD_VERSION);
    copy[4] ^= 2;
    copy[bytes - 1] ^= 1;
    EXPECT(selvedge_artifact_verify(copy, bytes), SELVEDGE_DIGEST_MISMATCH);
    copy[bytes - 1] ^= 1;
    EXPECT(selvedge_artifact_verify(copy, bytes), SELVEDGE_OK);

    EXPECT(selvedge_session_init(NULL, session_bytes, copy, bytes, arena, m->arena_bytes), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_session_init(s, session_bytes, NULL, bytes, arena, m->arena_bytes), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, NULL, m->arena_bytes), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_session_init(s, session_bytes - 1, copy, bytes, arena, m->arena_bytes), SELVEDGE_SESSION_SIZE);
    EXPECT(selvedge_session_init((selvedge_session *)(void *)((uint8_t *)s + 1), session_bytes, copy, bytes, arena,
                                 m->arena_bytes),
           SELVEDGE_MISALIGNED_SESSION);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, arena, DIGITS_I8_ARENA_BYTES - 1),
           SELVEDGE_ARENA_TOO_SMALL);
    EXPECT(selvedge_last_error(s, &error), SELVEDGE_OK);
    EXPECT_TRUE(error.status == SELVEDGE_ARENA_TOO_SMALL && error.detail == DIGITS_I8_ARENA_BYTES && error.step == -1);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, arena + 8, m->arena_bytes),
           SELVEDGE_MISALIGNED_ARENA);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, arena, (size_t)-1), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, copy, bytes), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes, s, session_bytes), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_session_init(s, session_bytes, copy, bytes - 1, arena, m->arena_bytes), SELVEDGE_TRUNCATED);
    EXPECT(selvedge_run(s), SELVEDGE_NOT_INITIALIZED);
}

/* Sessions that are none. */
static void check_sessions(const memory *m) {
    static selvedge_session zeroed, copy;
    uint8_t *bytes = (uint8_t *)m->session;
    uint8_t kept;

    EXPECT(selvedge_run(NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_run(&zeroed), SELVEDGE_NOT_INITIALIZED);
    EXPECT(init(m), SELVEDGE_OK);
    copy = *m->session;
    EXPECT(selvedge_run(&copy), SELVEDGE_BAD_SESSION);
    kept = bytes[0];
    bytes[0] = (uint8_t)~kept;
    EXPECT(selvedge_run(m->session), SELVEDGE_BAD_SESSION);
    bytes[0] = kept;
    EXPECT(selvedge_run((selvedge_session *)(void *)(bytes + 1)), SELVEDGE_MISALIGNED_SESSION);
    EXPECT(selvedge_session_end(m->session), SELVEDGE_OK);
    EXPECT(selvedge_run(m->session), SELVEDGE_NOT_INITIALIZED);
    EXPECT(selvedge_session_end(m->session), SELVEDGE_NOT_INITIALIZED);
}

/* Arguments of inputs and outputs. */
static void check_tensors(const memory *m) {
    static float values[DIGITS_PIXELS + 1];
    selvedge_session *s = m->session;
    selvedge_tensor_info info;
    selvedge_error error;
    int8_t classes[DIGITS_CLASSES];
    const void *out = NULL;
    void *in = NULL;
    const volatile uint32_t nan_bits = 0x7fc00000;
    union {
        uint32_t bits;
        float value;
    } nan;
    size_t bytes = 0;
    uint32_t n = 0;
    int i;

    EXPECT(init(m), SELVEDGE_OK);
    EXPECT(selvedge_input_count(s, &n), SELVEDGE_OK);
    EXPECT_TRUE(n == 1);
    EXPECT(selvedge_output_count(s, &n), SELVEDGE_OK);
    EXPECT_TRUE(n == 1);
    EXPECT(selvedge_input_count(s, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_input_info(s, 0, &info), SELVEDGE_OK);
    EXPECT_TRUE(info.dtype == SELVEDGE_I8 && info.elements == DIGITS_PIXELS && info.bytes == DIGITS_PIXELS);
    EXPECT_TRUE(info.quantized == 1 && info.scale > 0.0f);
    EXPECT(selvedge_input_info(s, 1, &info), SELVEDGE_NO_SUCH_IO);
    EXPECT(selvedge_output_info(s, 1, &info), SELVEDGE_NO_SUCH_IO);
    EXPECT(selvedge_output_info(s, 0, (selvedge_tensor_info *)m->arena), SELVEDGE_OVERLAPPING_MEMORY);

    EXPECT(selvedge_run(s), SELVEDGE_NOT_WRITTEN);
    EXPECT(selvedge_argmax(s, 0, &n), SELVEDGE_NOT_RUN);
    EXPECT(selvedge_write_f32(s, 0, NULL, DIGITS_PIXELS), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_write_f32(s, 1, values, DIGITS_PIXELS), SELVEDGE_NO_SUCH_IO);
    EXPECT(selvedge_write_f32(s, 0, values, DIGITS_PIXELS + 1), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_last_error(s, &error), SELVEDGE_OK);
    EXPECT_TRUE(error.status == SELVEDGE_WRONG_LENGTH && error.detail == DIGITS_PIXELS);
    EXPECT(selvedge_write_f32(s, 0, (const float *)(const void *)((const char *)values + 2), DIGITS_PIXELS),
           SELVEDGE_MISALIGNED_DATA);
    EXPECT(selvedge_write_f32(s, 0, (const float *)m->arena, DIGITS_PIXELS), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_write_i8(s, 0, (const int8_t *)values, DIGITS_PIXELS - 1), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_write_bytes(s, 0, values, DIGITS_PIXELS - 1), SELVEDGE_WRONG_LENGTH);
    nan.bits = nan_bits;
    values[7] = nan.value;
    EXPECT(selvedge_write_f32(s, 0, values, DIGITS_PIXELS), SELVEDGE_NOT_A_NUMBER);
    EXPECT(selvedge_last_error(s, &error), SELVEDGE_OK);
    EXPECT_TRUE(error.status == SELVEDGE_NOT_A_NUMBER && error.detail == 7);
    values[7] = 0.0f;
    EXPECT(selvedge_run(s), SELVEDGE_NOT_WRITTEN);

    EXPECT(selvedge_input_data(s, 0, &in, &bytes), SELVEDGE_OK);
    EXPECT_TRUE(bytes == DIGITS_PIXELS);
    for (i = 0; i < DIGITS_PIXELS && in != NULL; i++) {
        ((int8_t *)in)[i] = (int8_t)i;
    }
    EXPECT(selvedge_run(s), SELVEDGE_OK);
    EXPECT(selvedge_output_data(s, 0, &out, &bytes), SELVEDGE_OK);
    EXPECT_TRUE(bytes == DIGITS_CLASSES);
    EXPECT(selvedge_read_i8(s, 0, classes, DIGITS_CLASSES), SELVEDGE_OK);
    EXPECT(selvedge_output_data(s, 0, &out, &bytes), SELVEDGE_OK);
    for (i = 0; i < DIGITS_CLASSES && out != NULL; i++) {
        EXPECT_TRUE(((const int8_t *)out)[i] == classes[i]);
    }
    EXPECT(selvedge_read_f32(s, 0, values, DIGITS_CLASSES), SELVEDGE_OK);
    EXPECT(selvedge_read_f32(s, 0, values, DIGITS_CLASSES - 1), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_read_i8(s, 0, classes, DIGITS_CLASSES - 1), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_read_bytes(s, 0, NULL, DIGITS_CLASSES), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_read_bytes(s, 0, m->arena, DIGITS_CLASSES), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_output_data(s, 0, &out, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_argmax(s, 0, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_argmax(s, 1, &n), SELVEDGE_NO_SUCH_IO);
    EXPECT(selvedge_argmax(s, 0, (uint32_t *)(void *)s), SELVEDGE_OVERLAPPING_MEMORY);
    EXPECT(selvedge_run_steps(s, 1, NULL), SELVEDGE_NULL_POINTER);
    EXPECT(selvedge_last_error(s, NULL), SELVEDGE_NULL_POINTER);

    /* The f32 model takes a NaN and refuses it where it is quantized. */
    EXPECT(selvedge_session_init(s, sizeof *s, digits_model, sizeof digits_model, m->arena, m->arena_bytes),
           SELVEDGE_OK);
    values[9] = nan.value;
    EXPECT(selvedge_write_i8(s, 0, (const int8_t *)values, DIGITS_PIXELS), SELVEDGE_WRONG_TYPE);
    EXPECT(selvedge_write_f32(s, 0, values, DIGITS_PIXELS), SELVEDGE_OK);
    EXPECT(selvedge_run(s), SELVEDGE_NOT_A_NUMBER);
    EXPECT(selvedge_last_error(s, &error), SELVEDGE_OK);
    EXPECT_TRUE(error.status == SELVEDGE_NOT_A_NUMBER && error.step == 0 && error.op != 0);
    values[9] = 0.0f;
    EXPECT(selvedge_write_f32(s, 0, values, DIGITS_PIXELS), SELVEDGE_OK);
    EXPECT(selvedge_run(s), SELVEDGE_OK);
}

void check_statuses(const memory *m) {
    char text[48];
    EXPECT_TRUE(selvedge_abi_version() == SELVEDGE_ABI_VERSION);
    EXPECT_TRUE(selvedge_status_name(SELVEDGE_OK)[9] == 'O' && selvedge_dtype_name(SELVEDGE_I8)[0] == 'i');
    EXPECT(selvedge_op_name(3, 16, text, sizeof text), SELVEDGE_OK);
    EXPECT_TRUE(text[0] == 'D' && text[6] == 'W' && text[9] == '\0'); /* Dense<W8> */
    EXPECT(selvedge_op_name(3, 16, text, 9), SELVEDGE_WRONG_LENGTH);
    EXPECT(selvedge_op_name(3, 16, NULL, 9), SELVEDGE_NULL_POINTER);
    check_init(m);
    check_sessions(m);
    check_tensors(m);
}

void check_not_linked(const memory *m) {
    selvedge_error error;
    char text[48];
    EXPECT(init(m), SELVEDGE_OP_NOT_LINKED);
    EXPECT(selvedge_last_error(m->session, &error), SELVEDGE_OK);
    EXPECT(selvedge_op_name(error.op, error.format, text, sizeof text), SELVEDGE_OK);
    EXPECT_TRUE(text[0] != '?');
    put("not linked: step ");
    put_number((uint32_t)error.step);
    put(", ");
    put(text);
    put("\n");
    EXPECT(selvedge_run(m->session), SELVEDGE_NOT_INITIALIZED);
}
