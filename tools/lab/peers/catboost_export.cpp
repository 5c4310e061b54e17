// Lets the C++ that CatBoost exports be called from C: one vector, made once and filled in place.

#include <vector>

double ApplyCatboostModel(const std::vector<float>& features);

extern "C" void* export_row(unsigned long values) { return new std::vector<float>(values); }

extern "C" float* export_values(void* row) {
    return static_cast<std::vector<float>*>(row)->data();
}

extern "C" double export_apply(const void* row) {
    return ApplyCatboostModel(*static_cast<const std::vector<float>*>(row));
}
