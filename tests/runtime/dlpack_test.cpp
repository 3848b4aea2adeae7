#include <opforge/opforge.hpp>
#include <opforge/runtime/dlpack_abi.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace opforge;
using Catch::Matchers::Contains;
using runtime::ImportedTensor;

namespace {

// A producer's tensor on its way: what it says, and how often its deleter was called.
struct Producer {
    std::vector<float> memory = std::vector<float>(24, 1.0F);
    std::vector<std::int64_t> shape = {2, 3, 4};
    std::vector<std::int64_t> strides = {12, 4, 1};
    int deleted = 0;
    DLManagedTensorVersioned versioned{};
    DLManagedTensor unversioned{};

    Producer() {
        DLTensor& tensor = versioned.dl_tensor;
        tensor.data = memory.data();
        tensor.device = {kDLCPU, 0};
        tensor.dtype = {kDLFloat, 32, 1};
        tensor.ndim = 3;
        tensor.shape = shape.data();
        tensor.strides = strides.data();
        versioned.version = {1, 0};
        versioned.manager_ctx = this;
        versioned.deleter = [](DLManagedTensorVersioned* self) {
            ++static_cast<Producer*>(self->manager_ctx)->deleted;
        };
    }
    [[nodiscard]] DLTensor& tensor() { return versioned.dl_tensor; }
    [[nodiscard]] ImportedTensor take() { return ImportedTensor(&versioned); }
    [[nodiscard]] ImportedTensor take_unversioned() {
        unversioned.dl_tensor = versioned.dl_tensor;
        unversioned.manager_ctx = this;
        unversioned.deleter = [](DLManagedTensor* self) {
            ++static_cast<Producer*>(self->manager_ctx)->deleted;
        };
        return ImportedTensor(&unversioned);
    }
};

// Each refusal has to hand the tensor back all the same.
void check_refused(Producer& producer, const std::string& text) {
    CHECK_THROWS_WITH(producer.take(), Contains(text));
    CHECK(producer.deleted == 1);
}

}  // namespace

TEST_CASE("an imported tensor is the producer's memory, and is handed back once", "[runtime]") {
    Producer producer;
    {
        ImportedTensor imported = producer.take();
        CHECK(imported.view().data == producer.memory.data());
        CHECK(imported.view().dtype == Dtype::float32);
        CHECK(imported.view().shape == Shape{2, 3, 4});
        CHECK(imported.view().device == Device::cpu());
        CHECK_FALSE(imported.view().read_only);
        const ImportedTensor moved = std::move(imported);
        CHECK(moved.view().elements() == 24);
        CHECK(producer.deleted == 0);
    }
    CHECK(producer.deleted == 1);
}

TEST_CASE("a tensor that is replaced is handed back, and what was moved from views nothing",
          "[runtime]") {
    Producer first;
    Producer second;
    ImportedTensor tensor = first.take();
    ImportedTensor other = second.take();
    tensor = std::move(other);
    CHECK(first.deleted == 1);
    CHECK(second.deleted == 0);
    CHECK(tensor.view().data == second.memory.data());
    CHECK(other.view().data == nullptr);  // NOLINT(bugprone-use-after-move): what it promises
}

TEST_CASE("the structure before DLPack 1.0 is imported likewise", "[runtime]") {
    Producer producer;
    {
        const ImportedTensor imported = producer.take_unversioned();
        CHECK(imported.view().shape == Shape{2, 3, 4});
    }
    CHECK(producer.deleted == 1);
}

TEST_CASE("an op runs on an imported tensor without a copy", "[runtime]") {
    Producer producer;
    producer.memory[5] = 0.3F;
    const ImportedTensor imported = producer.take();
    ds_quantizer(imported.view(), 1, 4);
    CHECK(producer.memory[5] != 0.3F);
}

TEST_CASE("another major version is refused and handed back, a newer minor one is taken",
          "[runtime]") {
    Producer newer;
    newer.versioned.version = {1, 99};
    CHECK_NOTHROW(newer.take());
    Producer major;
    major.versioned.version = {2, 0};
    major.tensor().ndim = -5;  // must not be looked at
    check_refused(major, "it is of DLPack 2.0, opforge reads 1.x");
}

TEST_CASE("a read-only tensor is read, and never written", "[runtime]") {
    Producer producer;
    producer.versioned.flags = runtime::kDlpackReadOnly;
    const ImportedTensor imported = producer.take();
    CHECK(imported.view().read_only);
    CHECK_THROWS_WITH(ds_quantizer(imported.view()), Contains("read-only"));
    CHECK(producer.memory[0] == 1.0F);

    std::vector<float> result(24);
    runtime::CallOptions options;
    options.output = TensorView{result.data(), Dtype::float32, {24}, Device::cpu()};
    CHECK_NOTHROW(ds_quantizer(imported.view(), 1, 8, false, false, options));
    options.output = imported.view();
    CHECK_THROWS_AS(ds_quantizer(imported.view(), 1, 8, false, false, options), InvalidArgument);
}

TEST_CASE("strides may be missing, row-major, or of dimensions that do not matter", "[runtime]") {
    Producer missing;
    missing.tensor().strides = nullptr;
    CHECK_NOTHROW(missing.take());
    Producer ones;
    ones.shape = {1, 6, 4};
    ones.strides = {-77, 4, 1};
    CHECK_NOTHROW(ones.take());
    Producer empty;
    empty.shape = {0, 6, 4};
    empty.strides = {5, 5, 5};
    CHECK(empty.take().view().elements() == 0);
    Producer transposed;
    transposed.strides = {12, 1, 3};
    check_refused(transposed, "dimension 2 has a stride of 3 elements where row-major order");
    Producer gaps;
    gaps.strides = {16, 4, 1};
    check_refused(gaps, "dimension 0 has a stride of 16");
}

TEST_CASE("the data begins behind the byte offset", "[runtime]") {
    Producer producer;
    producer.shape = {2, 3, 2};
    producer.tensor().strides = nullptr;
    producer.tensor().byte_offset = 16;
    CHECK(producer.take().view().data == &producer.memory[4]);
}

TEST_CASE("devices are told apart, and unknown ones refused", "[runtime]") {
    Producer producer;
    producer.tensor().device = {kDLCUDA, 3};
    CHECK(producer.take().view().device == Device::cuda(3));
    producer.tensor().device = {kDLCUDAHost, 0};
    CHECK(producer.take().view().device == Device::cpu());
    producer.tensor().device = {kDLCUDAManaged, 1};
    CHECK(producer.take().view().device == Device::cuda(1));
    Producer vulkan;
    vulkan.tensor().device.device_type = static_cast<DLDeviceType>(7);
    check_refused(vulkan, "a device of type 7");
}

TEST_CASE("dtypes without an equal are refused by their code", "[runtime]") {
    Producer complex;
    complex.tensor().dtype = {5, 64, 1};
    check_refused(complex, "DLPack type code 5 of 64 bits x 1 lanes");
    Producer lanes;
    lanes.tensor().dtype = {kDLFloat, 32, 4};
    check_refused(lanes, "x 4 lanes");
    Producer fp8;
    fp8.tensor().dtype = {10, 8, 1};
    CHECK_THROWS_AS(fp8.take(), UnsupportedDtype);
}

TEST_CASE("elements of less than a byte are refused, packed and padded", "[runtime]") {
    // Packed, DLPack has the first of two in the lower half of a byte, opforge's codes in the
    // upper.
    Producer packed;
    packed.tensor().dtype = {kDLInt, 4, 1};
    check_refused(packed, "packed with the first one in the lowest bits");
    Producer padded;
    padded.tensor().dtype = {kDLInt, 4, 1};
    padded.versioned.flags = runtime::kDlpackSubBytePadded;
    check_refused(padded, "IS_SUBBYTE_TYPE_PADDED");
}

TEST_CASE("a tensor without a shape, of too many dimensions, or none at all is refused",
          "[runtime]") {
    Producer shapeless;
    shapeless.tensor().shape = nullptr;
    check_refused(shapeless, "no shape");
    Producer many;
    many.tensor().ndim = 9;
    check_refused(many, "9 dimensions");
    CHECK_THROWS_AS(ImportedTensor(static_cast<DLManagedTensor*>(nullptr)), InvalidArgument);
    CHECK_THROWS_AS(ImportedTensor(static_cast<DLManagedTensorVersioned*>(nullptr)),
                    InvalidArgument);
    Producer no_deleter;  // allowed: nothing to free
    no_deleter.versioned.deleter = nullptr;
    CHECK_NOTHROW(no_deleter.take());
}

TEST_CASE("an exported tensor reads back as it was, and lets its owner go", "[runtime]") {
    auto owner = std::make_shared<std::vector<float>>(6);
    const std::weak_ptr<std::vector<float>> watched = owner;
    TensorView tensor{owner->data(), Dtype::float32, {2, 3}, Device::cuda(1)};
    tensor.read_only = true;
    DLManagedTensorVersioned* const lent = to_dlpack(tensor, std::move(owner));
    CHECK(lent->version.major == 1);
    CHECK(lent->flags == runtime::kDlpackReadOnly);
    REQUIRE(lent->dl_tensor.strides != nullptr);
    CHECK(lent->dl_tensor.strides[0] == 3);
    CHECK(lent->dl_tensor.strides[1] == 1);
    {
        const ImportedTensor back(lent);
        CHECK(back.view().data == tensor.data);
        CHECK(back.view().shape == tensor.shape);
        CHECK(back.view().device == tensor.device);
        CHECK(back.view().read_only);
        CHECK_FALSE(watched.expired());
    }
    CHECK(watched.expired());
}

TEST_CASE("every dtype goes out and comes back", "[runtime]") {
    for (int number = 0; number <= static_cast<int>(Dtype::boolean); ++number) {
        std::int64_t memory[2] = {};
        const TensorView tensor{memory, static_cast<Dtype>(number), {2}, Device::cpu()};
        INFO(runtime::to_string(tensor.dtype));
        CHECK(ImportedTensor(to_dlpack(tensor, nullptr)).view().dtype == tensor.dtype);
        CHECK(ImportedTensor(to_unversioned_dlpack(tensor, nullptr)).view().dtype == tensor.dtype);
    }
}

TEST_CASE("the structure that cannot say read-only is not given a read-only tensor", "[runtime]") {
    float memory = 0;
    TensorView tensor{&memory, Dtype::float32, {1}, Device::cpu()};
    tensor.read_only = true;
    CHECK_THROWS_WITH(to_unversioned_dlpack(tensor, nullptr), Contains("to_dlpack()"));
}

TEST_CASE("a scalar and an empty tensor go both ways", "[runtime]") {
    float memory = 0;
    const TensorView scalar{&memory, Dtype::float32, {}, Device::cpu()};
    CHECK(ImportedTensor(to_dlpack(scalar, nullptr)).view().shape == Shape{});
    const TensorView empty{nullptr, Dtype::float32, {0, 3}, Device::cpu()};
    const ImportedTensor back(to_dlpack(empty, nullptr));
    CHECK(back.view().data == nullptr);
    CHECK(back.view().shape == Shape{0, 3});
}
